// stdout is only for the handshake. The log goes to stderr, one JSON object a line,
// in the form from which a host reads levels.

const levels = ['debug', 'info', 'warn', 'error'];

// The lowest level that the host logs.
const least = levels.indexOf((process.env.FAIRLEAD_LOG_LEVEL ?? 'info').toLowerCase());

function write(level, message, fields) {
  if (levels.indexOf(level) < least) return;
  process.stderr.write(JSON.stringify({ '@level': level, '@message': String(message), ...fields }) + '\n');
}

/** Logs by level: a text, and an object of further fields. No credentials. */
export const log = {
  debug: (message, fields) => write('debug', message, fields),
  info: (message, fields) => write('info', message, fields),
  warn: (message, fields) => write('warn', message, fields),
  error: (message, fields) => write('error', message, fields),
};
