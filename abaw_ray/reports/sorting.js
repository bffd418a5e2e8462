// a click on a column's title sorts by it, another the other way round; empty cells stay last
const titles = [...document.querySelectorAll("table.sortable thead th")];
const shown = cell => cell.dataset.value ?? cell.textContent;
titles.forEach(title => {
  const table = title.closest("table");
  const own = [...table.querySelectorAll("thead th")];
  const column = own.indexOf(title);
  const sort = () => {
    const ascending = title.getAttribute("aria-sort") !== "ascending";
    own.forEach(other => other.removeAttribute("aria-sort"));
    title.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.querySelector("tbody");
    const value = row => shown(row.cells[column]);
    const full = [...body.rows].filter(row => value(row) !== "");
    const empty = [...body.rows].filter(row => value(row) === "");
    const numeric = full.every(row => !isNaN(value(row)));
    full.sort((a, b) => numeric ? value(a) - value(b) : value(a).localeCompare(value(b), undefined, {numeric: true}));
    body.append(...(ascending ? full : full.reverse()), ...empty);
  };
  title.tabIndex = 0;
  title.addEventListener("click", sort);
  title.addEventListener("keydown", event => event.key === "Enter" && sort());
});
