package handle

import "fairlead.dev"

// Annotate is [fairlead.Annotate] that also sets what the call was about: an object, for
// example `store "users"`, and a key in it. What is set already stays. The call is free for
// nil, and the text is only built when somebody reads it.
func Annotate(err error, op, provider, object, key string) error {
	if err == nil {
		return nil
	}
	annotated := fairlead.Annotate(err, op, provider)
	if e, ok := annotated.(*fairlead.Error); ok && e.Object == "" { // a copy: Annotate has made it
		e.Object, e.Key = object, key
	}
	return annotated
}
