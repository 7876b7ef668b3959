// Package notrun says why cases of the conformance suite are not run, and what changes
// that.
package notrun

// Reason is a reason why cases are not run.
type Reason struct {
	Prefix    string // of the reason in their results
	Cases     string // what they are, for example "cases that take long"
	Remedy    string // what changes it, after a semicolon; may be empty
	CanChange bool   // flags of the command change it
}

// Reasons are all reasons that are known.
var Reasons = []Reason{
	{"needs control of the backend", "cases that kill the backend", "; to run them, give --kill-command and --start-command", true},
	{"needs a way to fill the backend", "cases that fill the backend", "; to run them, give --fill-command and --free-command", true},
	{"needs an operator of the backend", "cases that change the backend as other programs do", "; to run them, give --purge-command, --insert-command and --replace-command", true},
	{"not in profile quick", "cases that take long", "; to run them, give --profile full", true},
	{"not claimed: ", "cases that need a guarantee that the provider does not claim", "; the table of guarantees says what changes that", false},
	{"claimed: ", "cases that test that a missing guarantee is refused, and the provider claims it", "", false},
	{"the facet is not offered", "cases about a facet that the provider does not offer", "", false},
}
