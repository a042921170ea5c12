// The live parts: search while typing, and what changes, in its place. Without this the page works as a form.
(() => {
  const form = document.getElementById('search');
  const follow = document.getElementById('follow');
  const said = document.getElementById('said');
  if (!follow) return;
  follow.closest('.check').hidden = false;
  let asking = null, wait = 0;

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

  // A part that is being used is left alone: its focus or selection would be lost.
  const inUse = (part) => {
    const selection = getSelection();
    return part.contains(document.activeElement) ||
      (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
  };

  const show = (text, forced) => {
    const fresh = new DOMParser().parseFromString(text, 'text/html');
    for (const part of document.querySelectorAll('[data-live]')) {
      const next = fresh.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML || (!forced && inUse(part))) continue;
      const open = [...part.querySelectorAll('details[open][id]')].map((one) => one.id);
      part.replaceChildren(...[...next.childNodes].map((node) => document.importNode(node, true)));
      for (const id of open) document.getElementById(id)?.setAttribute('open', '');
    }
  };

  const load = async (forced) => {
    asking?.abort();
    const mine = asking = new AbortController();
    const late = setTimeout(() => mine.abort('late'), 15000);
    try {
      const answer = await fetch(address(), { signal: mine.signal, headers: { Accept: 'text/html' } });
      const text = await answer.text();
      if (answer.status >= 500) throw new Error(text.trim() || answer.statusText);
      show(text, forced);
      said.textContent = forced ? document.getElementById('found')?.textContent ?? '' : '';
    } catch (error) {
      if (mine.signal.reason === 'late') said.textContent = 'No answer; trying again.';
      else if (!mine.signal.aborted) said.textContent = `No answer (${error.message}); trying again.`;
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
    form.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(search, 120); });
    form.addEventListener('submit', (event) => { event.preventDefault(); search(); });
  }
  follow.addEventListener('change', () => { if (follow.checked) load(false); });
  document.addEventListener('visibilitychange', () => { if (!document.hidden && follow.checked) load(false); });
  next();
})();
