/** Which nodes of a graph reach each other? Each such group is a circle (Tarjan's strongly connected components, of two or more). */
export function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>()
  const path: string[] = []
  const onPath = new Set<string>()
  const circles: string[][] = []

  function visit(node: string): number {
    order.set(node, order.size)
    let lowest = order.get(node) ?? 0
    path.push(node)
    onPath.add(node)
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) lowest = Math.min(lowest, visit(next))
      else if (onPath.has(next)) lowest = Math.min(lowest, order.get(next) ?? 0)
    }
    if (lowest === order.get(node)) {
      const group = path.splice(path.indexOf(node))
      for (const one of group) onPath.delete(one)
      if (group.length > 1) circles.push(group.sort())
    }
    return lowest
  }

  for (const node of graph.keys()) if (!order.has(node)) visit(node)
  return circles
}
