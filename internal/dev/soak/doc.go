// Package soak has a test, for make torture, that leaves open handles over real servers
// idle, and demands that nothing is reported.
package soak
