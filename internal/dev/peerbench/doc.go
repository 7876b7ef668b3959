// Package peerbench compares Fairlead with libraries that its own module does
// not depend on. It has benchmarks alone:
//
//	cd internal/dev/peerbench && go test -bench .
package peerbench
