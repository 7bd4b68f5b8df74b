// Fetches the page again and swaps its content; what was unfolded and focused stays so. Without it the page reads the same.
"use strict";
(() => {
  const live = document.getElementById("live");
  const pause = 2000;
  async function refresh() {
    try {
      const answer = await fetch("/", { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const open = new Set([...document.querySelectorAll("details[open]")].map((d) => d.id));
      const focused = document.activeElement && document.activeElement.closest("details, .scroll");
      const label = focused && (focused.id || focused.getAttribute("aria-label"));
      const scrolled = new Map([...document.querySelectorAll(".scroll")].map((s) => [s.getAttribute("aria-label"), s.scrollLeft]));
      for (const part of ["main", "header time"]) {
        document.querySelector(part).replaceWith(next.querySelector(part));
      }
      for (const details of document.querySelectorAll("details")) details.open = open.has(details.id);
      for (const box of document.querySelectorAll(".scroll")) box.scrollLeft = scrolled.get(box.getAttribute("aria-label")) || 0;
      const again = label && [...document.querySelectorAll("details, .scroll")].find((e) => e.id === label || e.getAttribute("aria-label") === label);
      if (again) (again.querySelector("summary") || again).focus({ preventScroll: true });
      live.textContent = "live";
    } catch {
      live.textContent = "connection lost, shown as last known";
    }
    setTimeout(refresh, pause);
  }
  live.textContent = "live";
  setTimeout(refresh, pause);
})();
