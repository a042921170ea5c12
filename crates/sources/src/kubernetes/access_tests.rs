//! Where the server is looked for, and what is said when it cannot be told.

use std::fs;

use super::*;

fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("towpath-access-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn options(kubeconfig: Option<&Path>, master: Option<&str>) -> Options {
    let mut options = Options::new("node-a");
    options.kubeconfig = kubeconfig.map(Path::to_owned);
    options.master = master.map(str::to_owned);
    options
}

#[test]
fn where_to_look() {
    let account = directory("account");
    fs::write(account.join("token"), "t").unwrap();
    let around = |host: Option<&str>, account: &Path| Surroundings {
        host: host.map(str::to_owned),
        port: Some("6443".into()),
        service_account: account.to_owned(),
    };
    let pod =
        |url: &str, cluster_ip| Access::Pod { url: url.into(), credentials: account.clone(), cluster_ip };
    let file = Path::new("/k");
    let nowhere = Path::new("/nowhere");
    for (kubeconfig, master, host, account, expected) in [
        (Some(file), None, Some("10.0.0.1"), &*account, Access::File { path: file.into(), master: None }),
        (
            Some(file),
            Some("https://a:1"),
            None,
            nowhere,
            Access::File { path: file.into(), master: Some("https://a:1".into()) },
        ),
        (None, Some("https://a:1"), Some("10.0.0.1"), &*account, pod("https://a:1", false)),
        (None, Some("a:1"), Some("10.0.0.1"), nowhere, Access::Plain { url: "http://a:1".into() }),
        (None, None, Some("10.0.0.1"), &*account, pod("https://10.0.0.1:6443", true)),
        (None, Some(""), Some("fd00::1"), &*account, pod("https://[fd00::1]:6443", true)),
    ] {
        let found = Access::choose(&options(kubeconfig, master), &around(host, account)).unwrap();
        assert_eq!(found, expected);
    }
    let error = Access::choose(&options(None, None), &around(None, nowhere)).unwrap_err().to_string();
    assert_eq!(
        error,
        "it is not known where the API server is: no kubeconfig and no --master is given, and this is no pod with a \
         service account (KUBERNETES_SERVICE_HOST is not set); give --kubeconfig or --master"
    );
    fs::remove_dir_all(account).unwrap();
}

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://192.0.2.1:6443', certificate-authority: ca.crt}}]
users: [{name: u, user: {tokenFile: token}}]
";

#[test]
fn a_kubeconfig_is_read_and_its_files_are_watched() {
    let directory = directory("file");
    let path = directory.join("kubeconfig");
    fs::write(&path, KUBECONFIG).unwrap();
    fs::write(directory.join("ca.crt"), "").unwrap();
    let find = |master: Option<&str>| from_file(&path, master).unwrap();
    let found = find(None);
    assert_eq!(found.config.cluster_url, "https://192.0.2.1:6443/");
    assert_eq!(found.ca, format!("the CA in {}/ca.crt", directory.display()));
    assert_eq!(found.who, format!("the token in {}/token", directory.display()));
    assert_eq!(find(Some("https://other:1")).config.cluster_url, "https://other:1/");
    assert_eq!(found.digest, find(None).digest);
    fs::write(directory.join("ca.crt"), "\n").unwrap();
    assert_ne!(found.digest, find(None).digest);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let directory = directory("wrong");
    let path = directory.join("kubeconfig");
    for (text, expected) in [
        ("current-context: c", "failed to load current context: c"),
        ("contexts: []", "failed to determine current context"),
        ("{", "failed to parse kubeconfig YAML: "),
        (&KUBECONFIG.replace("server", "sewer"), "cluster url is missing on selected cluster"),
        (&KUBECONFIG.replace("server:", "proxy-url: 'http://p:1', server:"), "proxy-url is not supported"),
        (
            &KUBECONFIG.replace("https://", "https://user:s3cret@"),
            "the server's URL: it has a user or a password",
        ),
    ] {
        fs::write(&path, text).unwrap();
        fs::write(directory.join("ca.crt"), "").unwrap();
        let error = from_file(&path, None).unwrap_err().to_string();
        let expected = format!("kubeconfig {}: {expected}", path.display());
        assert!(error.starts_with(&expected), "{error}\n{expected}");
        assert!(!error.contains('\n') && !error.contains("s3cret"));
    }
    let secret = Access::Plain { url: "https://user:s3cret@[::1".into() }.find().unwrap_err().to_string();
    assert!(secret.starts_with("the server's URL: it has") && !secret.contains("s3cret"), "{secret}");
    let error = from_file(Path::new("/nowhere"), None).unwrap_err().to_string();
    assert!(error.starts_with("kubeconfig /nowhere: "), "{error}");
    let error = Access::Plain { url: "ftp://a".into() }.find().unwrap_err().to_string();
    assert_eq!(error, "the server's URL \"ftp://a\": give http://HOST:PORT or https://HOST:PORT");
    let pod = Access::Pod { url: "https://a".into(), credentials: "/nowhere".into(), cluster_ip: true };
    let error = pod.find().unwrap_err().to_string();
    assert!(error.starts_with("the pod's service account: cannot read /nowhere/ca.crt: "), "{error}");
    fs::remove_dir_all(directory).unwrap();
}
