/** Which tests a file has: what stands in each `it` and `describe` that is run, and the code behind it. */
import { readFileSync } from 'node:fs'
import ts from 'typescript'

/** By title (a template's as it is written): the test's code, with the loop that it stands in. */
export function testsOf(file: string): Map<string, string> {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const tests = new Map<string, string>()
  const look = (node: ts.Node, loop: ts.Node | null): void => {
    if (ts.isCallExpression(node)) {
      const callee = node.expression.getText(source)
      const title = node.arguments[0]
      // `itHere` and the like: a test that is not for every system.
      if (title !== undefined && /^(it|describe)[A-Za-z]*$/.test(callee)) {
        const said = titleOf(title, source)
        if (said !== null) tests.set(said, `${tests.get(said) ?? ''}\n${(loop ?? node).getText(source)}`)
        if (callee.startsWith('describe')) loop = null
      }
    }
    const inner = loop === null && ts.isForOfStatement(node) ? node : loop
    ts.forEachChild(node, (child) => look(child, inner))
  }
  look(source, null)
  return tests
}

function titleOf(node: ts.Expression, source: ts.SourceFile): string | null {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text
  return ts.isTemplateExpression(node) ? node.getText(source).slice(1, -1) : null
}
