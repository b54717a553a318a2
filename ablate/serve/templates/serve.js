// Fetches the page anew when the records have changed, and replaces the parts of it that differ.
const live = document.getElementById("live");
let shown = Number(document.body.dataset.version);
let newest = shown;
let busy = false;

const LIVE = "Live: this page updates itself.";
const GONE = "The records no longer have what this page shows.";
const FAILED = "The server cannot show this page now, so it may be out of date.";
let state = LIVE; // by the latest answer; a stream that opens brings no new answer
const nothing = document.getElementById("nothing"); // the heading of a page of an error
const say = (text) => {
  if (live.textContent !== text) live.textContent = text;
};

// What a reader is doing in a part is kept: the focus, what is unfolded, and how far a log is scrolled.
const replace = (old, fresh) => {
  const selection = getSelection();
  if (selection.type === "Range" && old.contains(selection.anchorNode)) return false;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const places = [...old.querySelectorAll("a, [tabindex]")];
  const place = places.indexOf(focused);
  const scrolled = [...old.querySelectorAll("pre, .table")].map((each) => ({
    top: each.scrollTop, left: each.scrollLeft, end: each.scrollHeight - each.scrollTop - each.clientHeight < 8,
  }));
  old.replaceChildren(...fresh.childNodes);
  old.querySelectorAll("pre, .table").forEach((each, number) => {
    const before = scrolled[number];
    if (!before) return;
    each.scrollTop = before.end ? each.scrollHeight : before.top;
    each.scrollLeft = before.left;
  });
  if (!focused) return true;
  const links = [...old.querySelectorAll("a, [tabindex]")];
  const same = links.find((each) => focused.hasAttribute("href") && each.getAttribute("href") === focused.getAttribute("href"));
  (same ?? links[Math.min(place, links.length - 1)])?.focus({ preventScroll: true });
  return true;
};

const refresh = async () => {
  if (busy || document.hidden || newest === shown) return;
  busy = true;
  try {
    const wanted = newest;
    const answer = await fetch(location.href);
    if (answer.ok) state = LIVE;
    else if (answer.status !== 404) state = FAILED;
    else state = nothing ? LIVE : GONE;
    say(state);
    if (!answer.ok) {
      shown = wanted;
    } else if (nothing) {
      location.reload();
    } else {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      let whole = true;
      for (const old of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(old.id);
        if (fresh && fresh.innerHTML !== old.innerHTML) whole = replace(old, fresh) && whole;
      }
      if (whole) shown = wanted;
    }
  } catch {
    // the stream of changes tells whether the server is still there
  }
  busy = false;
};

// A browser opens about six connections to a server in all, so a page that is not looked at gives its own back.
let changes = null;
const listen = () => {
  if (document.hidden) {
    changes?.close();
    changes = null;
  } else if (!changes) {
    changes = new EventSource("/events");
    changes.onopen = () => say(state);
    changes.onmessage = (event) => {
      newest = JSON.parse(event.data).version;
      refresh();
    };
    changes.onerror = () => say("The server does not answer: this page may be out of date.");
  }
};

listen();
setInterval(refresh, 1000);
document.addEventListener("visibilitychange", listen);
for (const log of document.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
