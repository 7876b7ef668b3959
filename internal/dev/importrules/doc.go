// Package importrules has a test of the imports between packages. The rules are
// data in rules_test.go, and CONTRIBUTING.md gives the reasons.
package importrules
