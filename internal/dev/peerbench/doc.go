// Package peerbench compares Fairlead with libraries that its own module does
// not depend on. It only has benchmarks:
//
//	cd internal/dev/peerbench && go test -bench .
package peerbench
