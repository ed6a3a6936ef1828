// Conveniences: every page works without this file.
"use strict";

// A button beside every code that is there to be copied.
function addCopyButton(place) {
  if (!navigator.clipboard || place.querySelector("button")) return;
  const code = place.querySelector("code");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copier";
  button.textContent = "Copy";
  if (place.dataset.label) button.setAttribute("aria-label", "Copy the " + place.dataset.label);
  const told = document.createElement("span");
  told.className = "unseen";
  told.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      told.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; told.textContent = ""; }, 2500);
  });
  place.append(button, told);
}

// Times are printed in UTC; the reader's own time is one hover away.
function addLocalTime(time) {
  const when = new Date(time.dateTime);
  if (time.title || !time.dateTime.includes("T") || isNaN(when)) return;
  time.title = when.toLocaleString(undefined, { dateStyle: "full", timeStyle: "short" }) + " where you are";
}

const FOLDERS = "a[data-part]:not([data-more])";
const markClosed = (link) => link.setAttribute("aria-expanded", "false");

// A folder's link opens it in place: the server sends the same list that its own page shows.
async function openFolder(event) {
  const link = event.target.closest("a[data-part]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const item = link.closest("li");
  const opened = item.querySelector(":scope > ol");
  if (opened) {
    opened.hidden = !opened.hidden;
    link.setAttribute("aria-expanded", String(!opened.hidden));
    return;
  }
  if (item.getAttribute("aria-busy")) return;
  item.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(link.dataset.part, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.statusText);
    const part = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("ol");
    part.querySelectorAll(FOLDERS).forEach(markClosed);
    if (link.dataset.more) {
      const first = part.querySelector("a, summary");
      item.replaceWith(...part.children);
      first?.focus();
    } else {
      item.append(part);
      link.setAttribute("aria-expanded", "true");
    }
  } catch {
    location.href = link.href;
  } finally {
    item.removeAttribute("aria-busy");
  }
}

document.querySelectorAll(".copyable").forEach(addCopyButton);
document.querySelectorAll("time[datetime]").forEach(addLocalTime);
document.querySelectorAll(FOLDERS).forEach(markClosed);
document.addEventListener("click", openFolder);
