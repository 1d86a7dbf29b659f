/** What stands in the braces of a template: names, texts, numbers, `==`, `!=`, `not`, `and`, `or` and parentheses. */
import { TemplateFault } from './template-fault.ts'

/** A value that a page may show. */
export type Value = string | number | boolean | undefined
/** The names that a template may use. */
export type Values = Readonly<Record<string, Value>>
/** An expression, ready to be asked. */
export type Expression = (values: Values) => Value

const token = /\s*(?:([A-Za-z_]\w*)|"([^"]*)"|'([^']*)'|(\d+(?:\.\d+)?)|(==|!=|[()]))/y
const constants: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['true', true], ['True', true], ['false', false], ['False', false], ['none', undefined], ['None', undefined],
])

/** Reads an expression. @throws TemplateFault */
export function parseExpression(text: string, line: number): Expression {
  return new ExpressionParser(text, line).parse()
}

/** Whether a value counts as true. */
export function isTrue(value: Value): boolean {
  return value !== undefined && value !== '' && value !== 0 && value !== false
}

/** A value as a page shows it. */
export function textOf(value: Value): string {
  if (value === undefined) return ''
  return typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value)
}

type Token = { readonly word: string } | { readonly value: Value } | { readonly sign: string }

class ExpressionParser {
  readonly #text: string
  readonly #line: number
  readonly #tokens: Token[]
  #next = 0

  constructor(text: string, line: number) {
    this.#text = text
    this.#line = line
    this.#tokens = this.#scan()
  }

  parse(): Expression {
    const expression = this.#or()
    if (this.#next < this.#tokens.length) throw this.#fault()
    return expression
  }

  #scan(): Token[] {
    const tokens: Token[] = []
    const text = this.#text.trimEnd()
    let at = 0
    while (at < text.length) {
      token.lastIndex = at
      const match = token.exec(text)
      if (!match) throw this.#fault()
      const [, word, double, single, number, sign] = match
      if (word !== undefined) tokens.push(constants.has(word) ? { value: constants.get(word) } : { word })
      else if (sign !== undefined) tokens.push({ sign })
      else tokens.push({ value: number === undefined ? (double ?? single) : Number(number) })
      at = token.lastIndex
    }
    return tokens
  }

  #or(): Expression {
    let left = this.#and()
    while (this.#takes('or')) {
      const [first, second] = [left, this.#and()]
      left = (values) => (isTrue(first(values)) ? first(values) : second(values))
    }
    return left
  }

  #and(): Expression {
    let left = this.#not()
    while (this.#takes('and')) {
      const [first, second] = [left, this.#not()]
      left = (values) => (isTrue(first(values)) ? second(values) : first(values))
    }
    return left
  }

  #not(): Expression {
    if (!this.#takes('not')) return this.#comparison()
    const inner = this.#not()
    return (values) => !isTrue(inner(values))
  }

  #comparison(): Expression {
    const left = this.#primary()
    const isEqual = this.#takes('==')
    if (!isEqual && !this.#takes('!=')) return left
    const right = this.#primary()
    return (values) => (left(values) === right(values)) === isEqual
  }

  #primary(): Expression {
    const next = this.#tokens[this.#next++]
    if (next && 'value' in next) return () => next.value
    if (next && 'word' in next && !['and', 'or', 'not'].includes(next.word)) {
      return (values) => (Object.hasOwn(values, next.word) ? values[next.word] : undefined)
    }
    if (!next || !('sign' in next) || next.sign !== '(') throw this.#fault()
    const inner = this.#or()
    if (!this.#takes(')')) throw this.#fault()
    return inner
  }

  /** Goes on past a word or sign where it is the next. */
  #takes(text: string): boolean {
    const next = this.#tokens[this.#next]
    const found = next !== undefined && (('word' in next && next.word === text) || ('sign' in next && next.sign === text))
    if (found) this.#next += 1
    return found
  }

  #fault(): TemplateFault {
    return TemplateFault.inLine(this.#line, `"${this.#text.trim()}" cannot be read: use names, texts, ==, !=, not, and, or`)
  }
}
