// The table of all timings: buttons in its heads sort it, menus above it choose rows. Without this it is a plain table.
"use strict";

function explore(explorer) {
  const table = explorer.querySelector("table"), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells], rows = [...body.rows];
  const order = (row, column) => row.cells[column].dataset.order;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);

  function sort(column) {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach(head => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    const empty = row => order(row, column) === "";
    rows.sort((a, b) => empty(a) - empty(b) || compare(order(a, column), order(b, column)) * (up ? 1 : -1));
    body.append(...rows);
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });

  const menus = heads.flatMap((head, column) => ("filter" in head.dataset ? [[column, menu(head, column)]] : []));
  const count = document.createElement("p");
  count.setAttribute("role", "status");

  function menu(head, column) {
    const select = document.createElement("select");
    const values = new Map(rows.map(row => [row.cells[column].textContent, order(row, column)]));
    const sorted = [...values].sort((a, b) => compare(a[1], b[1])).map(([text]) => new Option(text, text));
    select.append(new Option("all", ""), ...sorted);
    select.name = head.textContent;
    select.addEventListener("change", choose);
    return select;
  }

  function choose() {
    for (const row of rows)
      row.hidden = menus.some(([column, { value }]) => value && row.cells[column].textContent !== value);
    count.textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} timings`;
  }

  const form = document.createElement("form");
  for (const [, select] of menus) {
    const label = document.createElement("label");
    label.append(select.name, select);
    form.append(label);
  }
  const reset = document.createElement("button");
  reset.type = "reset";
  reset.textContent = "Show all";
  form.append(reset);
  form.addEventListener("reset", () => setTimeout(choose)); // after the menus were reset
  form.addEventListener("submit", event => event.preventDefault());
  explorer.prepend(form, count);
  choose();
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".explorer").forEach(explore));
