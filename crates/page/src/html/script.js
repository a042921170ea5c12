// The live parts: search while typing, and what changes, in its place. Without this the page works as a form.
(() => {
  const form = document.getElementById('search');
  const follow = document.getElementById('follow');
  const said = document.getElementById('said');
  if (!follow) return;
  follow.closest('.check').hidden = false;
  let asking = null, wait = 0, seen = new Date();

  const address = () => {
    const url = new URL(location.href);
    // Reading the kernel again every two seconds is too much.
    url.searchParams.delete('diff');
    if (form) {
      for (const [name, value] of new FormData(form)) {
        if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
      }
    }
    return url;
  };

  const key = (one) => one.id || (one.nodeName === 'TR' && one.querySelector('th')?.textContent) || '';
  const alike = (a, b) => a.nodeName === b.nodeName && key(a) === key(b);

  // Changes what differs and nothing else: focus, scrolling and opened parts stay as they are.
  const become = (old, next) => {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = next.data; return; }
    const open = (name) => name === 'open';
    for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && !open(name)) old.removeAttribute(name);
    for (const { name, value } of next.attributes) {
      if (old.getAttribute(name) !== value && !open(name)) old.setAttribute(name, value);
    }
    let at = old.firstChild;
    const drop = () => { const gone = at; at = at.nextSibling; gone.remove(); };
    for (const child of next.childNodes) {
      let match = at;
      while (match && !alike(match, child)) match = match.nextSibling;
      if (!match) { old.insertBefore(document.importNode(child, true), at); continue; }
      while (at !== match) drop();
      at = match.nextSibling;
      become(match, child);
    }
    while (at) drop();
  };

  // What somebody has selected is left alone: it is about to be copied.
  const selected = (part) => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  };

  const show = (text, forced) => {
    const fresh = new DOMParser().parseFromString(text, 'text/html');
    for (const part of document.querySelectorAll('[data-live]')) {
      const next = fresh.getElementById(part.id);
      if (next && (forced || !selected(part))) become(part, next);
    }
  };

  const fail = (why) => {
    const text = `${why} What is shown is of ${seen.toLocaleTimeString()}.`;
    if (said.textContent !== text) said.textContent = text;
    document.body.classList.add('stale');
  };

  const succeed = (text, forced) => {
    show(text, forced);
    seen = new Date();
    document.body.classList.remove('stale');
    said.textContent = forced ? document.getElementById('found')?.textContent ?? '' : '';
  };

  const load = async (forced) => {
    asking?.abort();
    const mine = asking = new AbortController();
    const late = setTimeout(() => mine.abort('late'), 15000);
    try {
      const answer = await fetch(address(), { signal: mine.signal, headers: { Accept: 'text/html' } });
      const text = await answer.text();
      if (answer.ok) succeed(text, forced);
      else if (answer.status === 404) fail('This is gone from the node.');
      else fail(`The agent answers with an error (${answer.status}); trying again.`);
    } catch (error) {
      if (mine.signal.reason === 'late') fail('The agent does not answer in time; trying again.');
      else if (!mine.signal.aborted) fail('The agent does not answer: it is stopped, or out of reach. Trying again.');
    } finally {
      clearTimeout(late);
      if (asking === mine) { asking = null; next(); }
    }
  };

  const next = () => {
    clearTimeout(wait);
    wait = setTimeout(() => (follow.checked && !document.hidden ? load(false) : next()), 2000);
  };

  if (form) {
    let typing = 0;
    const search = () => {
      const url = address();
      url.searchParams.delete('page');
      history.replaceState(null, '', url);
      load(true);
    };
    form.addEventListener('input', (event) => {
      // The switch is no part of the search.
      if (event.target === follow) return;
      clearTimeout(typing);
      typing = setTimeout(search, 120);
    });
    form.addEventListener('submit', (event) => { event.preventDefault(); search(); });
  }
  follow.addEventListener('change', () => { if (follow.checked) load(false); });
  document.addEventListener('visibilitychange', () => { if (!document.hidden && follow.checked) load(false); });
  next();
})();
