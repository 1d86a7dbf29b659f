/**
 * Pages that operators write: text with `{{ name }}`, `{% if %}`, `{% elif %}`, `{% else %}` and `{# comments #}`, a part of what Jinja2 knows.
 * What is shown is escaped for HTML.
 *
 * Spec: none; the Jinja2 template designer documentation.
 */
import { escapeHtml } from '#platform/http/html-page.ts'
import { parseExpression, isTrue, textOf, type Expression, type Values } from './expression.ts'
import { TemplateFault } from './template-fault.ts'

export { TemplateFault } from './template-fault.ts'
export type { Values } from './expression.ts'

type Node =
  | string
  | { readonly shown: Expression; readonly escaped: boolean }
  | { readonly branches: readonly Branch[] }

interface Branch {
  readonly condition: Expression
  readonly nodes: Node[]
}

const always: Expression = () => true
const tag = /\{\{(-?)([\s\S]*?)(-?)\}\}|\{%(-?)([\s\S]*?)(-?)%\}|\{#(-?)[\s\S]*?(-?)#\}/g

export class Template {
  readonly #nodes: readonly Node[]

  private constructor(nodes: readonly Node[]) {
    this.#nodes = nodes
  }

  /** Reads a template. @throws TemplateFault for what is wrong in it, or beyond this part of Jinja2 */
  static parse(source: string): Template {
    return new Template(new Parser(source).parse())
  }

  /** The page with these values; names without a value show nothing. */
  render(values: Values): string {
    return rendered(this.#nodes, values)
  }
}

function rendered(nodes: readonly Node[], values: Values): string {
  return nodes.map((node) => {
    if (typeof node === 'string') return node
    if ('branches' in node) return rendered(node.branches.find(({ condition }) => isTrue(condition(values)))?.nodes ?? [], values)
    const text = textOf(node.shown(values))
    return node.escaped ? escapeHtml(text) : text
  }).join('')
}

class Parser {
  readonly #source: string
  readonly #root: Node[] = []
  /** The conditions that are open, outermost first. */
  readonly #open: { readonly branches: Branch[]; readonly line: number; hasElse: boolean }[] = []
  #line = 1

  constructor(source: string) {
    this.#source = source
  }

  parse(): Node[] {
    let end = 0
    let trims = false
    for (const match of this.#source.matchAll(tag)) {
      const [whole, dashShown, shown, dashShownEnd, dashTag, statement, dashTagEnd, dashComment, dashCommentEnd] = match
      this.#text(this.#source.slice(end, match.index), trims, Boolean(dashShown || dashTag || dashComment))
      if (shown !== undefined) this.#show(shown)
      else if (statement !== undefined) this.#statement(statement.trim())
      this.#line += lines(whole)
      end = match.index + whole.length
      trims = Boolean(dashShownEnd || dashTagEnd || dashCommentEnd)
    }
    this.#text(this.#source.slice(end), trims, false)
    const unclosed = this.#open.at(-1)
    if (unclosed) throw TemplateFault.inLine(unclosed.line, 'an {% if %} has no {% endif %}')
    return this.#root
  }

  get #nodes(): Node[] {
    return this.#open.at(-1)?.branches.at(-1)?.nodes ?? this.#root
  }

  #text(text: string, trimStart: boolean, trimEnd: boolean): void {
    const loose = /\{[{%#]/.exec(text)
    if (loose) throw TemplateFault.inLine(this.#line + lines(text.slice(0, loose.index)), `${loose[0]} is never closed`)
    this.#line += lines(text)
    const start = trimStart ? text.trimStart() : text
    this.#nodes.push(trimEnd ? start.trimEnd() : start)
  }

  #show(text: string): void {
    const [expression = '', ...filters] = text.split('|')
    const unknown = filters.map((filter) => filter.trim()).find((filter) => !['e', 'escape', 'safe'].includes(filter))
    if (unknown !== undefined) throw TemplateFault.inLine(this.#line, `the filter "${unknown}" is not known here`)
    this.#nodes.push({ shown: parseExpression(expression, this.#line), escaped: filters.at(-1)?.trim() !== 'safe' })
  }

  #statement(text: string): void {
    const [word = ''] = text.split(/\s/, 1)
    const rest = text.slice(word.length)
    if (word === 'if') {
      const branches: Branch[] = [{ condition: parseExpression(rest, this.#line), nodes: [] }]
      this.#nodes.push({ branches })
      this.#open.push({ branches, line: this.#line, hasElse: false })
      return
    }
    if (word !== 'elif' && word !== 'else' && word !== 'endif') throw TemplateFault.inLine(this.#line, `{% ${word} %} is not known here; use {{ }}, {% if %} and {# #} only`)
    const open = this.#open.at(-1)
    if (!open || (open.hasElse && word !== 'endif')) throw TemplateFault.inLine(this.#line, `{% ${word} %} stands without its {% if %}`)
    if (word === 'endif') this.#open.pop()
    else open.branches.push({ condition: word === 'else' ? always : parseExpression(rest, this.#line), nodes: [] })
    open.hasElse ||= word === 'else'
  }
}

function lines(text: string): number {
  return text.split('\n').length - 1
}
