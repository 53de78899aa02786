// Draws what a page's figures say; the table beside it says the same without a script.
(() => {
  "use strict";
  // light-dark() is resolved by an element, not by a custom property.
  const colour = (name) => {
    const node = document.createElement("i");
    node.style.color = `var(${name})`;
    document.body.append(node);
    const found = getComputedStyle(node).color;
    node.remove();
    return found;
  };
  const faded = (rgb, share) => rgb.replace(/^rgba?\(([^)]+)\)$/, (_, inner) => `rgba(${inner.split(",").slice(0, 3).join(",")}, ${share})`);
  const drawn = new Map();

  const draw = (node) => {
    const told = JSON.parse(node.dataset.chart);
    if (drawn.has(node)) drawn.get(node).destroy();
    const ink = colour("--soft");
    const line = colour("--line");
    const bars = told.bars ? uPlot.paths.bars({ size: [0.72, 60] }) : undefined;
    const number = (value) => value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: 2 });
    const chart = new uPlot({
      width: node.clientWidth,
      height: told.height || 220,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      padding: [8, 8, 0, 0],
      cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      scales: { x: { time: told.time !== false }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { stroke: ink, grid: { show: false }, ticks: { stroke: line, width: 1 }, size: 30, values: (_, marks) => marks.map((at) => new Date(at * 1000).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" })) },
        { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7, 1e8], values: (_, marks) => marks.map((mark) => mark.toLocaleString("en", { notation: "compact" })) },
      ],
      series: [
        { value: (_, at) => at === null || at === undefined ? "" : new Date(at * 1000).toISOString().replace("T", " ").slice(0, 16) },
        ...told.series.map((each) => {
          const stroke = colour(each.colour);
          return { label: each.label, stroke, width: 2, fill: faded(stroke, told.bars ? 0.75 : 0.12), paths: bars, points: { show: false }, value: (_, value) => number(value) };
        }),
      ],
    }, told.data, node);
    drawn.set(node, chart);
  };

  const all = () => { for (const node of document.querySelectorAll("[data-chart]")) draw(node); };
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  document.addEventListener("htmx:afterSettle", all);
  all();
})();
