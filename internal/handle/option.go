package handle

import "fairlead.dev"

// NilOption returns the error for an option of a call that is nil.
func NilOption(call string, index int) error {
	return fairlead.Errorf(fairlead.Invalid, "option %d of %s is nil; leave it out", index+1, call)
}
