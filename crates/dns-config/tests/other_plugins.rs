//! The options of the other plugins.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{block, names, plugin, refused, unsupported};
use dns_wire::rtype;
use towpath_dns_config::{
    Acl, AclAction, AclRule, AnswerRewrite, Chaos, Consolidate, Dns64, Errors, Health, HttpAddress,
    LoadBalance, Log, LogClasses, LogFormat, LogLevel, NameRewrite, Nsid, Pattern, Prometheus, Ready, Reload,
    RewriteRule, Then, TtlRewrite, compile_regex,
};

const TWICE: &str = "this plugin can be used only once in a server block";

fn text(text: &str) -> String {
    text.to_owned()
}

fn rewrite(rule: &str) -> RewriteRule {
    block(rule).rewrite.remove(0).rule
}

fn name(pattern: Pattern, to: &str, answer: &[AnswerRewrite]) -> RewriteRule {
    RewriteRule::Name(NameRewrite { pattern, to: text(to), answer: answer.to_vec() })
}

#[test]
fn rewrite_rules_are_read() {
    use AnswerRewrite::{Auto, Name, Value};
    let by_name = || Name { from: text("(x)"), to: text("{1}y") };
    let by_value = || Value { from: text("v"), to: text("w") };
    let cases = vec![
        ("name A.example b.Example.", name(Pattern::Exact(text("a.example.")), "b.example.", &[Auto])),
        ("name exact a b", name(Pattern::Exact(text("a.")), "b.", &[Auto])),
        ("name exact a b answer value v w", name(Pattern::Exact(text("a.")), "b.", &[Auto, by_value()])),
        ("name exact a b answer auto", name(Pattern::Exact(text("a.")), "b.", &[Auto])),
        ("name prefix Web- api-", name(Pattern::Prefix(text("web-")), "api-", &[])),
        (
            "name suffix .my.example .svc.cluster.local answer auto",
            name(Pattern::Suffix(text(".my.example.")), ".svc.cluster.local.", &[Auto]),
        ),
        ("name substring a b", name(Pattern::Substring(text("a")), "b", &[])),
        (
            r"name regex (.*)-(us-west-1)\.example\.org {1}.service.{2}.consul",
            name(Pattern::Regex(text(r"(.*)-(us-west-1)\.example\.org")), "{1}.service.{2}.consul", &[]),
        ),
        ("name regex a b answer auto", name(Pattern::Regex(text("a")), "b", &[Auto])),
        ("name regex a b answer name (x) {1}y", name(Pattern::Regex(text("a")), "b", &[by_name()])),
        (
            "name regex a b answer name (x) {1}y answer value v w",
            name(Pattern::Regex(text("a")), "b", &[by_name(), by_value()]),
        ),
        (
            "name regex a b answer name (x) {1}y value v w",
            name(Pattern::Regex(text("a")), "b", &[by_name(), by_value()]),
        ),
        (
            "{\nname regex a b\nanswer name (x) {1}y\nanswer value v w\n}",
            name(Pattern::Regex(text("a")), "b", &[by_name(), by_value()]),
        ),
        ("type any hinfo", RewriteRule::Type { from: rtype::ANY, to: rtype::HINFO }),
    ];
    for (rule, want) in cases {
        assert_eq!(rewrite(&format!("rewrite {rule}")), want, "{rule}");
    }
    let then = |text: &str| block(text).rewrite[0].then;
    assert_eq!(then("rewrite name a b"), Then::Stop);
    assert_eq!(then("rewrite stop name a b"), Then::Stop);
    assert_eq!(then("rewrite continue name a b"), Then::Continue);
    assert_eq!(then("rewrite continue {\nname a b\n}"), Then::Continue);
    assert_eq!(block("rewrite name a b\nrewrite name c d").rewrite.len(), 2);
}

#[test]
fn rewrite_of_ttl_has_a_range() {
    let max = i32::MAX as u32;
    let exact = || Pattern::Exact(text("a."));
    let cases = [
        ("a 30", exact(), 30, 30),
        ("a 30-300", exact(), 30, 300),
        ("a -30", exact(), 0, 30),
        ("a 30-", exact(), 30, max),
        ("suffix .a 5", Pattern::Suffix(text(".a.")), 5, 5),
        (r"regex (.*)\.a 5", Pattern::Regex(text(r"(.*)\.a")), 5, 5),
    ];
    for (rule, pattern, min, max) in cases {
        let want = RewriteRule::Ttl(TtlRewrite { pattern, min, max });
        assert_eq!(rewrite(&format!("rewrite ttl {rule}")), want, "{rule}");
    }
    for wrong in ["-", "x", "300-30", "2147483648", "1-2-3"] {
        let want = format!("2: rewrite: {wrong} is not SECONDS or MIN-MAX");
        assert_eq!(refused(&format!("rewrite ttl a {wrong}")), want);
    }
}

#[test]
fn rewrite_rules_that_coredns_refuses_are_problems() {
    let cases = [
        ("", "rewrite: write what is rewritten, for example: rewrite name FROM TO"),
        ("foo", "rewrite: foo is not name, type or ttl"),
        ("name a", "rewrite: write name [exact|prefix|suffix|substring|regex] FROM TO"),
        ("name a b c", "rewrite: a is not exact, prefix, suffix, substring or regex"),
        ("name regex ([a] b", "([a] is not a regular expression"),
        ("name regex (a) {2}", "{2} is used, but (a) has no such group"),
        ("name regex a b NoAnswer name c d", "rewrite: unexpected argument NoAnswer: write answer auto"),
        ("name regex a b answer", "rewrite: answer needs auto, name or value"),
        ("name regex a b answer ttl c d", "rewrite: answer ttl is not auto, name or value"),
        ("name regex a b answer name c", "rewrite: answer name needs FROM and TO"),
        (
            "name regex a b answer auto answer name c d",
            "rewrite: answer auto and answer name exclude each other",
        ),
        ("name a..b c", "a..b is not a domain name"),
        ("type A", "rewrite: write type FROM TO"),
        ("type A WV", "WV is not a type of records"),
        ("ttl a", "rewrite: write ttl [exact|...|regex] NAME SECONDS|MIN-MAX"),
    ];
    for (rule, want) in cases {
        assert_eq!(refused(&format!("rewrite {rule}")), format!("2: {want}"), "{rule}");
    }
    for rule in
        ["class CH IN", "edns0 local set 0xffee abcd", "cname exact a b", "rcode exact a NXDOMAIN NOERROR"]
    {
        let field = rule.split(' ').next().unwrap();
        assert_eq!(unsupported(&format!("rewrite {rule}")), [format!("2: rewrite {field}")], "{rule}");
    }
}

#[test]
fn regular_expressions_mean_what_they_mean_in_go() {
    let cases = [
        (r"^\w+$", "abc", true),
        (r"^\w+$", "ä", false),
        (r"\d{2}", "a12", true),
        ("(?i)ABC", "abc", true),
        ("^[[:alpha:]]+$", "abc", true),
        ("(?P<name>x)", "x", true),
    ];
    for (pattern, text, want) in cases {
        assert_eq!(compile_regex(pattern).unwrap().is_match(text.as_bytes()), want, "{pattern}");
    }
    assert!(compile_regex(r"(a)\1").is_err());
    assert!(compile_regex(r"\w{1000}{1000}").is_err(), "bounded");
}

fn rule(action: AclAction, types: &[u16], nets: &[&str]) -> AclRule {
    let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
    AclRule { action, types: types.to_vec(), nets }
}

#[test]
fn acl_rules_are_read() {
    let cases = [
        ("block", rule(AclAction::Block, &[], &[])),
        (
            "allow net 192.168.0.0/24 10.0.0.1",
            rule(AclAction::Allow, &[], &["192.168.0.0/24", "10.0.0.1/32"]),
        ),
        ("filter type A aaaa net 10.1.2.3/8", rule(AclAction::Filter, &[1, 28], &["10.0.0.0/8"])),
        ("drop net 2001:db8::/32 type ANY", rule(AclAction::Drop, &[255], &["2001:db8::/32"])),
        ("block type * net *", rule(AclAction::Block, &[], &[])),
        ("BLOCK net 10.0.0.0/8 *", rule(AclAction::Block, &[], &[])),
    ];
    for (option, want) in cases {
        let acl = Acl { zones: names(&["example.org."]), rules: vec![want] };
        assert_eq!(block(&format!("acl {{\n{option}\n}}")).acl, [acl], "{option}");
    }
    assert_eq!(
        block("acl a.example b {\nblock\n}\nacl {\nallow\n}").acl[0].zones,
        names(&["a.example.", "b."])
    );
    let cases = [
        ("deny net *", "acl: deny is not allow, block, filter or drop"),
        ("block net", "acl: net needs a value: * is all"),
        ("block type", "acl: type needs a value: * is all"),
        ("block net 10.0.0.0/33", "acl: 10.0.0.0/33 is not an address or a network"),
        ("block type NOPE", "NOPE is not a type of records"),
        ("block from 10.0.0.1", "acl: from is not type or net"),
    ];
    for (option, want) in cases {
        assert_eq!(refused(&format!("acl {{\n{option}\n}}")), format!("3: {want}"), "{option}");
    }
}

#[test]
fn dns64_options_are_read() {
    let prefix = |text: &str| Dns64 { prefix: text.parse().unwrap(), ..Dns64::default() };
    let cases = [
        ("dns64", prefix("64:ff9b::/96")),
        ("dns64 64:1337::/96", prefix("64:1337::/96")),
        ("dns64 {\nprefix 2001:db8::/32\n}", prefix("2001:db8::/32")),
        ("dns64 {\ntranslate_all\n}", Dns64 { translate_all: true, ..Dns64::default() }),
        ("dns64 {\nallow_ipv4\n}", Dns64 { allow_ipv4: true, ..Dns64::default() }),
    ];
    for (text, want) in cases {
        assert_eq!(block(text).dns64, Some(want), "{text}");
    }
    for wrong in ["64:ff9b::/95", "10.0.0.0/8", "x"] {
        let want = format!("2: dns64: {wrong} is not an IPv6 prefix of length 32, 40, 48, 56, 64 or 96");
        assert_eq!(refused(&format!("dns64 {wrong}")), want);
    }
    assert_eq!(refused("dns64 a b"), "2: dns64: unexpected argument b");
}

#[test]
fn small_plugins_are_read() {
    let block = block(
        "any\nlocal\nminimal\nnsid node-1\nchaos CoreDNS-1 me@a you@b\nloadbalance round_robin\nbufsize 4096",
    );
    assert!(block.any && block.local && block.minimal);
    assert_eq!(block.nsid, Some(Nsid { data: Some(text("node-1")) }));
    assert_eq!(
        block.chaos,
        Some(Chaos { version: Some(text("CoreDNS-1")), authors: vec![text("me@a"), text("you@b")] })
    );
    assert_eq!((block.loadbalance, block.bufsize), (Some(LoadBalance {}), Some(4096)));
    assert_eq!(common::block("bufsize").bufsize, Some(1232));
    assert_eq!(common::block("nsid").nsid, Some(Nsid { data: None }));
    assert_eq!(common::block("loadbalance").loadbalance, Some(LoadBalance {}));
    let refusals = [
        ("any x", "2: any: unexpected argument x"),
        ("local {\nx\n}", "3: x: local takes no options"),
        ("bufsize 511", "2: bufsize: 511 is not a number from 512 to 4096"),
        ("bufsize 4097", "2: bufsize: 4097 is not a number from 512 to 4096"),
        ("loadbalance fastest", "2: loadbalance: fastest is not round_robin or weighted"),
        ("minimal x", "2: minimal: unexpected argument x"),
    ];
    for (text, want) in refusals {
        assert_eq!(refused(text), want, "{text}");
    }
    assert_eq!(unsupported("loadbalance weighted /w"), ["2: loadbalance weighted"]);
    assert_eq!(unsupported("loadbalance {\nprefer 10.0.0.0/8\nlimit_answers 2\n}").len(), 2);
}

#[test]
fn errors_and_log_are_read() {
    let consolidate = |pattern: &str, level, show_first| Consolidate {
        period: Duration::from_secs(10),
        pattern: text(pattern),
        level,
        show_first,
    };
    assert_eq!(block("errors").errors, Some(Errors::default()));
    assert_eq!(block("errors stdout").errors, Some(Errors::default()));
    let (errors, config) = plugin(
        "errors {\nconsolidate 10s \".* i/o timeout$\" warning\nconsolidate 10s ^a show_first\nconsolidate 10s b info show_first\n}",
    ).unwrap();
    assert_eq!(config.unsupported.len(), 3);
    let want = vec![
        consolidate(".* i/o timeout$", LogLevel::Warning, false),
        consolidate("^a", LogLevel::Error, true),
        consolidate("b", LogLevel::Info, true),
    ];
    assert_eq!(errors.errors, Some(Errors { consolidate: want }));
    assert_eq!(
        refused("errors {\nconsolidate 10s\n}"),
        "3: consolidate: write consolidate DURATION REGEXP [LEVEL] [show_first]"
    );
    assert_eq!(
        refused("errors {\nconsolidate 10s a loud\n}"),
        "3: consolidate: loud is not debug, info, warning or error"
    );
    assert_eq!(refused("errors file"), "2: errors: file is not stdout");

    let log = |of: &[&str], format, classes| Log { names: names(of), format, classes };
    let denial = LogClasses { success: false, denial: true, error: false };
    let cases = [
        ("log", log(&["."], LogFormat::Common, LogClasses::ALL)),
        ("log a.example b", log(&["a.example.", "b."], LogFormat::Common, LogClasses::ALL)),
        ("log . {combined}", log(&["."], LogFormat::Combined, LogClasses::ALL)),
        ("log {common}", log(&["."], LogFormat::Common, LogClasses::ALL)),
        (
            "log a.example \"{proto} {name}\" {\nclass denial\n}",
            log(&["a.example."], LogFormat::Custom(text("{proto} {name}")), denial),
        ),
        ("log {\nclass denial error\nclass success\n}", log(&["."], LogFormat::Common, LogClasses::ALL)),
        ("log {\nclass all\n}", log(&["."], LogFormat::Common, LogClasses::ALL)),
    ];
    for (text, want) in cases {
        assert_eq!(block(text).log, [want], "{text}");
    }
    assert_eq!(
        refused("log {\nclass abracadabra\n}"),
        "3: class: abracadabra is not success, denial, error or all"
    );
    assert_eq!(refused("log {\nclass\n}"), "3: class: an argument is missing");
    assert_eq!(unsupported("log {\nunknown\n}"), ["3: log unknown"]);
}

#[test]
fn endpoints_have_addresses() {
    let at = |host: Option<&str>, port| HttpAddress { host: host.map(|host| host.parse().unwrap()), port };
    let health = |address, lameduck| Some(Health { address, lameduck: Duration::from_secs(lameduck) });
    let v4 = Some("169.254.20.10");
    assert_eq!(block("health").health, health(at(None, 8080), 0));
    assert_eq!(block("health {\nlameduck 5s\n}").health, health(at(None, 8080), 5));
    assert_eq!(block("health 169.254.20.10:8080").health, health(at(v4, 8080), 0));
    assert_eq!(block("health localhost:8091").health, health(at(Some("127.0.0.1"), 8091), 0));
    assert_eq!(block("ready").ready, Some(Ready { address: at(None, 8181), continuously: false }));
    assert_eq!(
        block("ready :1 {\nmonitor continuously\n}").ready,
        Some(Ready { address: at(None, 1), continuously: true })
    );
    assert_eq!(block("prometheus").prometheus, Some(Prometheus { address: at(Some("127.0.0.1"), 9153) }));
    assert_eq!(
        block("prometheus [::1]:9153").prometheus,
        Some(Prometheus { address: at(Some("::1"), 9153) })
    );
    for wrong in ["bla", "/foo", "localhost", "localhost:9[5", "2001:db8::1:9153", ":99999", "[10.0.0.1]:80"]
    {
        for plugin in ["health", "ready", "prometheus"] {
            assert_eq!(refused(&format!("{plugin} {wrong}")), format!("2: {wrong} is not [ADDRESS]:PORT"));
        }
    }
    assert_eq!(refused("ready {\nmonitor 404\n}"), "3: monitor: 404 is not until-ready or continuously");
    assert_eq!(refused("health a:1 b"), "2: health: unexpected argument b");
    assert_eq!(refused("prometheus\nprometheus"), format!("3: prometheus: {TWICE}"));
    assert_eq!(unsupported("prometheus {\nruntime_metrics\ntls web.yml\n}").len(), 2);
}

#[test]
fn loop_and_reload_differ() {
    let (block, config) = plugin("loop\nreload").unwrap();
    assert!(block.loop_guard && config.unsupported.is_empty());
    assert_eq!(block.reload, Some(Reload::default()));
    let told: Vec<_> = config.differs.iter().map(|remark| remark.directive.as_str()).collect();
    assert_eq!(told, ["loop", "reload"]);
    let reload = common::block("reload 10s").reload.unwrap();
    assert_eq!((reload.interval.as_secs(), reload.jitter.as_secs()), (10, 5));
    let cases = [
        ("reload 1s", "2: reload: the interval is at least 2s"),
        ("reload 10s 0s", "2: reload: the jitter is at least 1s"),
        ("reload a", "2: reload: a is not a duration: write for example 30s or 500ms"),
        ("reload 1m 1m 1m", "2: reload: unexpected argument 1m"),
        ("loop x", "2: loop: unexpected argument x"),
        ("loop\nloop", "3: loop: this plugin can be used only once in a server block"),
    ];
    for (text, want) in cases {
        assert_eq!(refused(text), want, "{text}");
    }
}

#[test]
fn bind_collects_addresses() {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let cases: &[(&str, &[&str])] = &[
        ("bind 127.0.0.1", &["127.0.0.1"]),
        ("bind 127.0.0.1 ::1\nbind ::1 ::2", &["127.0.0.1", "::1", "::2"]),
        ("bind 127.0.0.1 ::1 {\nexcept ::1\n}", &["127.0.0.1"]),
    ];
    for (text, want) in cases {
        assert_eq!(block(text).bind, addresses(want), "{text}");
    }
    assert_eq!(refused("bind"), "2: bind: an argument is missing");
    assert_eq!(unsupported("bind lo 10.0.0.1"), ["2: bind lo"]);
    assert_eq!(
        refused("bind __PILLAR__LOCAL__DNS__"),
        "2: bind: __PILLAR__LOCAL__DNS__ has no value: name the addresses to listen on"
    );
}

#[test]
fn other_plugins_are_named() {
    for plugin in
        ["template IN A", "etcd", "file /db", "secondary", "trace", "whoami", "no-such-plugin", "dnssec"]
    {
        let name = plugin.split(' ').next().unwrap();
        assert_eq!(unsupported(&format!("errors\n{plugin} {{\nx\n}}")), [format!("3: {name}")], "{plugin}");
    }
}

#[test]
fn what_is_done_in_another_way_is_told() {
    let cases = [
        ("bind 10.0.0.1", "bind"),
        ("bufsize 4096", "bufsize"),
        ("health {\nlameduck 6s\n}", "health lameduck"),
        ("forward . 10.0.0.1 {\nhealth_check 1s no_rec\n}", "forward health_check"),
        ("forward . 10.0.0.1 {\nmax_idle_conns 1\n}", "forward max_idle_conns"),
        ("kubernetes a {\nstartup_timeout 5s\n}", "kubernetes startup_timeout"),
        ("kubernetes a {\nupstream\n}", "kubernetes upstream"),
        ("errors {\nstacktrace\n}", "errors stacktrace"),
    ];
    for (text, want) in cases {
        let (_, config) = plugin(text).unwrap();
        let told: Vec<_> = config.differs.iter().map(|remark| remark.directive.as_str()).collect();
        assert_eq!(told, [want], "{text}");
        assert!(config.unsupported.is_empty(), "{text}");
    }
    for quiet in [
        "bufsize 512",
        "health {\nlameduck 5s\n}",
        "cache {\nprefetch 1\nserve_stale\n}",
        "cache {\nprefetch 0\nserve_stale 0\n}",
        "forward . 10.0.0.1",
    ] {
        assert!(plugin(quiet).unwrap().1.differs.is_empty(), "{quiet}");
    }
    let port = common::config("a:54 {\n}").unwrap();
    assert_eq!(port.differs[0].directive, "port 54");
}

#[test]
fn the_last_of_two_holds_and_is_named() {
    for plugin in [
        "any",
        "autopath @kubernetes",
        "bufsize",
        "chaos",
        "dns64",
        "health",
        "loadbalance",
        "local",
        "minimal",
        "nsid",
    ] {
        let name = plugin.split(' ').next().unwrap();
        assert_eq!(unsupported(&format!("{plugin}\n{plugin}")), [format!("3: {name}")], "{plugin}");
    }
    for plugin in ["cache", "errors", "hosts", "kubernetes", "loop", "prometheus", "ready", "reload"] {
        assert_eq!(refused(&format!("{plugin}\n{plugin}")), format!("3: {plugin}: {TWICE}"));
    }
    for plugin in ["acl", "bind 10.0.0.1", "forward . 10.0.0.1", "k8s_external", "log", "rewrite name a b"] {
        assert!(unsupported(&format!("{plugin}\n{plugin}")).is_empty(), "{plugin}");
    }
}
