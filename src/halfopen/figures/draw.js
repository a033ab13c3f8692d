// What a page calls: drawFigure(element, specification) draws a figure, in the place of one that was there before.
const drawn = new WeakMap();

window.drawFigure = async (element, spec) => {
  drawn.get(element)?.finalize();
  const { ratio } = spec.usermeta;
  const height = ratio ? Math.round(element.clientWidth * ratio) : spec.height;
  const result = await vegaEmbed(element, { ...spec, height }, {
    mode: "vega-lite",
    ast: true, // expressions are interpreted: a page need not allow eval
    actions: false,
    renderer: "svg",
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  });
  drawn.set(element, result);
  return result;
};
