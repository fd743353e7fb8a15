// Sorting: a click on a heading sorts its column, the next click turns it round. Places without a value stay last.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, index) => {
    const text = row.cells[index].dataset.sort;
    if (text === undefined) return null;
    return text !== "" && isFinite(text) ? Number(text) : text;
  };
  heads.forEach((head, index) => {
    head.querySelector("button").addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const order = (left, right) => {
        const [a, b] = [value(left, index), value(right, index)];
        if (a === null || b === null) return (a === null) - (b === null);
        if (typeof a === "number" && typeof b === "number") return direction * (a - b);
        return direction * String(a).localeCompare(String(b), undefined, { numeric: true });
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}
