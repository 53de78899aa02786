/* Copy and print, where there is a script; the page needs neither. */
"use strict";
const told = document.querySelector('[role="status"]');

function say(text) {
  if (told) told.textContent = text;
}

function select(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const chosen = window.getSelection();
  chosen.removeAllRanges();
  chosen.addRange(range);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("span");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      label.textContent = "Copied";
      button.classList.add("done");
      say("Copied");
      setTimeout(() => {
        label.textContent = "Copy";
        button.classList.remove("done");
        say("");
      }, 2500);
    } catch {
      select(source);
      say("It is selected: copy it from the menu");
    }
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
