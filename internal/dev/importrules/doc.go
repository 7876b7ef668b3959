// Package importrules holds a test of who may import whom: the rules are data
// in rules_test.go, and CONTRIBUTING.md says why they are there.
package importrules
