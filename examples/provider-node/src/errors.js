/**
 * An error with a code of the protocol.
 */
export class ProviderError extends Error {
  /**
   * @param {string} code one of Code in types.proto, without its prefix: 'NOT_FOUND'
   * @param {string} message says what is wrong and how to fix it; never a credential
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** @param {unknown} e @returns {ProviderError} e, or an INTERNAL error if e has no code of the protocol */
export function asProviderError(e) {
  return e instanceof ProviderError ? e : new ProviderError('INTERNAL', String(e?.message ?? e));
}

/** @param {unknown} e @returns {{code: string, message: string}} e as a message Error of types.proto */
export function toMessage(e) {
  const { code, message } = asProviderError(e);
  return { code: `CODE_${code}`, message };
}
