/** The storeys of the house and who may import whom; docs/architecture.md names them. Type-only imports count. */
const source = '^packages/server/src/'
const isTest = '\\.test\\.ts$'
const fixtures = '/fixture[^/]*\\.ts$'

/** A storey may not import from the storeys above it. */
const storey = (name, above, reason) => ({
  name: `storey-${name}`,
  comment: reason,
  severity: 'error',
  from: { path: `${source}${name}/`, pathNot: isTest },
  to: { path: `${source}(${above.join('|')})/` },
})

/** A library has one home. */
const home = (library, where) => ({
  name: `home-of-${library.replace(/\W+/g, '-').replace(/^-|-$/g, '')}`,
  comment: `${library} is used in ${where} only; call what stands there`,
  severity: 'error',
  from: { path: '^packages/[^/]+/src/', pathNot: [isTest, where] },
  to: { path: `(^|node_modules/)(@types/)?${library}(/|$)`, dependencyTypesNot: ['local'] },
})

module.exports = {
  forbidden: [
    {
      name: 'protocol-stands-alone',
      comment: 'protocol imports nothing but itself and node:crypto',
      severity: 'error',
      from: { path: '^packages/protocol/src/', pathNot: [isTest, fixtures] },
      to: { pathNot: ['^packages/protocol/src/', '^(node:)?crypto$'] },
    },
    {
      name: 'platform-has-no-matrix',
      comment: 'platform uses the errors, the branded types of identifiers and the JSON of protocol, nothing else of it',
      severity: 'error',
      from: { path: `${source}platform/`, pathNot: isTest },
      to: { path: '^packages/protocol/src/', pathNot: '^packages/protocol/src/(errors\\.ts|ids/ids\\.ts|json/)' },
    },
    storey('platform', ['schema', 'engine', 'features', 'app', 'cli'], 'platform never names what stands above it'),
    storey('schema', ['engine', 'features', 'app', 'cli'], 'schema knows platform only'),
    storey('engine', ['features', 'app', 'cli'], 'engine declares an interface for what it needs from above'),
    storey('features', ['app', 'cli'], 'a slice is given what it needs by app/compose.ts'),
    storey('app', ['cli'], 'commands stand on app, not the other way round'),
    {
      name: 'migrations-do-not-move',
      comment: 'code moves on, a migration must not: it imports nothing outside platform/db and schema',
      severity: 'error',
      from: { path: `${source}schema/(migrations|background)/`, pathNot: isTest },
      to: { path: '^packages/', pathNot: `${source}(schema|platform/db)/` },
    },
    {
      name: 'front-door',
      comment: 'a slice imports another slice through <slice>/<slice>.ts only',
      severity: 'error',
      from: { path: `${source}features/([^/]+)/`, pathNot: isTest },
      to: { path: `${source}features/(?!$1/)`, pathNot: `${source}features/([^/]+)/\\1\\.ts$` },
    },
    {
      name: 'slices-without-cycles',
      comment: 'two slices that need each other: the shared part belongs to engine, or one of them consumes a stream',
      severity: 'error',
      from: { path: `${source}features/([^/]+)/`, pathNot: isTest },
      to: { path: `${source}features/(?!$1/)`, circular: true },
    },
    {
      name: 'store-of-its-slice',
      comment: 'a store is imported by its own folder and by app/compose',
      severity: 'error',
      from: { path: '^packages/server/src/', pathNot: [isTest, `${source}(features|engine)/`, `${source}app/compose[^/]*\\.ts$`] },
      to: { path: `${source}(features|engine)/.*\\.store\\.ts$` },
    },
    {
      name: 'store-of-the-engine',
      comment: 'a slice asks the engine, not its tables',
      severity: 'error',
      from: { path: `${source}features/`, pathNot: isTest },
      to: { path: `${source}engine/.*\\.store\\.ts$` },
    },
    {
      name: 'no-cycles',
      comment: 'files that need each other when they are loaded',
      severity: 'error',
      from: { path: '^packages/' },
      to: { circular: true },
    },
    {
      name: 'files-and-sockets',
      comment: 'platform opens files, sockets and processes; what stands above it calls platform',
      severity: 'error',
      from: { path: [`${source}(schema|engine|features)/`, '^packages/protocol/src/'], pathNot: isTest },
      to: { path: '^(node:)?(fs|net|http|https|http2|tls|dgram|dns|child_process|worker_threads)(/|$)' },
    },
    {
      name: 'names-of-files',
      comment: 'no barrels and no drawers: a helper lives with its user or in a named home',
      severity: 'error',
      from: {},
      to: { path: '^packages/.*/(index\\.ts$|(utils|helpers|common|types|managers?)/)', pathNot: 'node_modules' },
    },
    {
      name: 'unresolvable',
      comment: 'the imported file does not exist',
      severity: 'error',
      from: { path: '^packages/' },
      to: { couldNotResolve: true },
    },
    home('find-my-way', `${source}platform/http/`),
    home('undici', `${source}platform/fetch/`),
    home('redis', `${source}platform/streams/`),
    home('pino', `${source}platform/log/`),
    home('prom-client', `${source}platform/metrics/`),
    home('pg', `${source}platform/db/`),
    home('node:sqlite', `${source}platform/db/`),
    home('sharp', `${source}platform/images/`),
    // Names and chain cover own their tables without a store beside them: each is one query.
    home('kysely', `${source}(platform/db/|schema/|engine/(names|chain-cover)\\.ts$|.*\\.store\\.ts$)`),
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    builtInModules: { add: ['node:sqlite', 'node:test', 'sqlite'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'], extensions: ['.ts', '.mjs', '.js', '.json'] },
  },
}
