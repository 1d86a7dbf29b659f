import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Template, TemplateFault } from './template.ts'

const rendered = (source: string, values = {}): string => Template.parse(source).render(values)

test('names are shown, escaped for HTML; what has no value shows nothing', () => {
  assert.equal(rendered('<p title="{{ user }}">{{user}}{{ nobody }}</p>', { user: '<"\'&>' }), '<p title="&#60;&#34;&#39;&#38;&#62;">&#60;&#34;&#39;&#38;&#62;</p>')
  assert.equal(rendered('{{ a | e }}{{ a|safe }}', { a: '<' }), '&#60;<')
  assert.equal(rendered('{{ "text" }} {{ 1.0 }} {{ yes }}', { yes: true }), 'text 1 True')
  assert.equal(rendered('{{ constructor }}{{ __proto__ }}'), '')
})

test('conditions choose one branch, also within each other', () => {
  const source = '{% if a == "x" %}X{% elif not a and b %}B{% else %}{% if (a or b) and a != "y" %}A{% endif %}-{% endif %}.'
  assert.equal(rendered(source, { a: 'x' }), 'X.')
  assert.equal(rendered(source, { b: true }), 'B.')
  assert.equal(rendered(source, { a: 'z' }), 'A-.')
  assert.equal(rendered(source, { a: 'y' }), '-.')
  assert.equal(rendered(source), '-.')
})

test('comments vanish, and a dash takes the white space of its side', () => {
  assert.equal(rendered('a {# {{ no }} #} b\n{%- if true -%}\n c {%- endif %} d'), 'a  bc d')
})

test('what is wrong or not known is named with its line', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['\n{% extends "x" %}', /line 2 .*extends/], ['{% if a %}', /line 1 .*endif/], ['{% endif %}', /without its/], ['{% if a %}{% else %}{% else %}{% endif %}', /else/],
    ['a\n\n{{ a', /line 3 .*never closed/], ['{{ a | upper }}', /upper/], ['{{ a.b }}', /a\.b/], ['{% if a b %}{% endif %}', /a b/], ['{{ (a }}', /cannot be read/], ['{{ }}', /cannot be read/],
  ]
  for (const [source, message] of cases) assert.throws(() => Template.parse(source), (error) => error instanceof TemplateFault && message.test(error.message), source)
})
