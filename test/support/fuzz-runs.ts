/** How many odd inputs are tried of each kind: 2,000 in `npm test`, more by `npm run fuzz`. */
export const FUZZ_RUNS = Number(process.env['LIMPET_FUZZ_RUNS'] ?? 2_000)
