import js from '@eslint/js'
import tseslint from 'typescript-eslint'

const NO_STUBS =
  'No stub of DNS, TLS, sockets or HTTP here: start a real server on loopback (test/discovery/loopback.ts).'
const STUBBING = [
  'sinon',
  'nock',
  'esmock',
  'proxyquire',
  'testdouble',
  'mock-socket',
  'msw',
  'rewire',
  'node:test',
]
const ROAD = '/^(dns|dnsPromises|tls|net|dgram|http|https|got|undici)$/'

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'coverage/', '.cache/', 'limpet-data/'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      // Numbers in template strings read well and are safe; everything else must be made a string first.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    // The types refuse a plain string where a `Db` is asked; here also where a pool of `pg` is.
    files: ['src/**/*.ts', 'queues/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...['Literal', 'TemplateLiteral'].map((type) => ({
          selector: `CallExpression[callee.property.name='query'] > ${type}.arguments:first-child`,
          message:
            'A statement has a name, and is written where the module is loaded: sql() in src/store/statement.ts.',
        })),
      ],
    },
  },
  {
    // chai's assertions are property reads, and a test may use a value that the types call impossible.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    // What is shown of the road to other servers is shown with real DNS, TLS and HTTP on loopback. Nothing takes their place.
    files: ['allow', 'discovery', 'wire', 'e2e', 'interop', 'system'].map(
      (folder) => `test/${folder}/**/*.ts`,
    ),
    rules: {
      'no-restricted-imports': ['error', { paths: STUBBING.map((name) => ({ name, message: NO_STUBS })) }],
      'no-restricted-syntax': [
        'error',
        {
          selector: `AssignmentExpression[left.type='MemberExpression'][left.object.name=${ROAD}]`,
          message: NO_STUBS,
        },
        {
          selector: `CallExpression[callee.property.name=/^(assign|defineProperty|defineProperties|set)$/][callee.object.name=/^(Object|Reflect)$/][arguments.0.name=${ROAD}]`,
          message: NO_STUBS,
        },
      ],
    },
  },
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
)
