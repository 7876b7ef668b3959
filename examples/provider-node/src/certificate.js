import { generate } from 'selfsigned';

const MINUTE = 60_000;
const YEAR = 365 * 24 * 60 * MINUTE;

/**
 * Makes a key and a certificate for this process. The host requires the name
 * localhost, and trusts only the certificate of the handshake.
 * @returns {Promise<{certificate: string, key: string, encoded: string}>} PEM,
 *   PEM, and the certificate as the handshake carries it
 */
export async function makeCertificate() {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() - MINUTE),
    notAfterDate: new Date(Date.now() + 10 * YEAR),
    extensions: [
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  });
  return { certificate: cert, key, encoded: encode(cert) };
}

/** @param {string} pem @returns {string} DER in base64 without padding */
function encode(pem) {
  const base64 = pem.replace(/-----[^-]+-----/g, '').replace(/\s/g, '');
  return base64.replace(/=+$/, '');
}
