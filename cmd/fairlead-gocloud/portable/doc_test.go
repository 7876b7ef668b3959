// Package portable_test runs gocloud.dev's own suites for drivers over package
// portable. It is in this module because those suites link the clients of the
// clouds.
package portable_test
