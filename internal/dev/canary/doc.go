// Package canary has a test that gives every provider passwords, and looks for them in
// everything that comes out: errors, logs, spans, descriptions.
package canary
