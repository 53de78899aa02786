// What a page does beyond links and forms; without it everything still works.
(() => {
  "use strict";
  const rows = () => [...document.querySelectorAll("main .row-link")].filter((link) => link.offsetParent);
  const typing = (node) => node.closest("input, select, textarea, [contenteditable]");

  const move = (step) => {
    const links = rows();
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
    links[next].focus();
    links[next].scrollIntoView({ block: "nearest" });
  };

  const ticked = (form) => {
    // A box may stand outside of its form, and name it.
    const boxes = [...form.elements].filter((each) => each.matches("input[data-row]"));
    const chosen = boxes.filter((box) => box.checked).length;
    const all = [...form.elements].find((each) => each.matches("input[data-all]"));
    if (all) {
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
    const said = form.querySelector("[data-chosen]");
    if (said) said.textContent = chosen ? `${chosen} chosen` : "";
    for (const button of form.querySelectorAll("[data-needs-chosen]")) button.disabled = !chosen;
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector(".dialog:popover-open") && event.key !== "Escape") return;
    const act = {
      "/": () => {
        const field = document.querySelector("main [data-search]") || document.querySelector("[data-search], main .filters :is(input, select)");
        if (field) { field.focus(); if (field.select) field.select(); }
      },
      j: () => move(1),
      k: () => move(-1),
      x: () => {
        const row = document.activeElement.closest("tr");
        const box = row && row.querySelector("input[data-row]");
        if (box) box.click();
      },
      "?": () => { const help = document.getElementById("help"); if (help) help.togglePopover(); },
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  document.addEventListener("click", (event) => {
    const closes = event.target.closest("[data-closes]");
    if (closes) closes.parentElement.remove();
    const copies = event.target.closest("[data-copies]");
    if (copies) {
      navigator.clipboard.writeText(document.getElementById(copies.dataset.copies).textContent.trim()).then(() => {
        const before = copies.textContent;
        copies.textContent = "Copied";
        setTimeout(() => { copies.textContent = before; }, 2000);
      });
    }
  });

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("input[data-all]")) {
      for (const each of box.form.elements) if (each.matches("input[data-row]")) each.checked = box.checked;
    }
    if (box.matches("input[data-all], input[data-row]")) ticked(box.form);
    if (box.matches("select[data-goes]") && box.value) location.assign(box.value);
  });

  // What was typed outlives a refusal, in this tab until the next page; no password, code or file.
  const KEPT = "typed";
  const UNKEPT = "[type=hidden], [type=password], [type=file], [autocomplete=one-time-code]";
  const typed = (form) => [...form.elements].filter((each) => each.name && each.matches("input, select, textarea") && !each.matches(UNKEPT));
  const alike = (action) => [...document.forms].filter((form) => form.method === "post" && form.action === action);

  const keep = (form) => {
    const fields = typed(form).map((each) => (each.matches("[type=checkbox], [type=radio]") ? each.checked : each.value));
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ action: form.action, turn: alike(form.action).indexOf(form), fields }));
    } catch { /* There may be no storage; then it is typed again. */ }
  };

  const refill = () => {
    let kept = null;
    try { kept = JSON.parse(sessionStorage.getItem(KEPT)); sessionStorage.removeItem(KEPT); } catch { return; }
    const refusal = document.querySelector("main .told.bad[role=alert]");
    const form = kept && refusal && alike(kept.action)[kept.turn];
    if (!form || typed(form).length !== kept.fields.length) return;
    typed(form).forEach((each, at) => {
      if (each.matches("[type=checkbox], [type=radio]")) each.checked = kept.fields[at];
      else each.value = kept.fields[at];
    });
    const dialog = form.closest("[popover]");
    if (dialog) {
      form.querySelector("h2").after(refusal);
      dialog.showPopover();
    }
  };

  // A form is sent once, however often one presses.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    keep(form);
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // A refusal takes the place of the page, whatever part of it was asked for.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const told = event.detail;
    if (told.xhr.status < 400) return;
    told.shouldSwap = true;
    told.target = document.getElementById("main");
    told.selectOverride = "#main";
    told.swapOverride = "outerHTML";
  });

  const ready = () => { for (const form of document.querySelectorAll("form[data-many]")) ticked(form); };
  document.addEventListener("htmx:afterSettle", ready);
  // Whoever opens a dialog types into its first field, from the moment it is open: a focus that
  // came later would take what is typed to another field.
  document.addEventListener("beforetoggle", (event) => {
    if (event.newState !== "open" || !event.target.matches(".dialog")) return;
    const first = event.target.querySelector("input:not([type=hidden], [hidden]), select, textarea");
    if (first) first.autofocus = true;
  }, true);
  ready();
  refill();
})();
