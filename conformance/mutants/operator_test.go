package mutants

import (
	"regexp"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
)

// TestHealthyAfterOthers shows that what other programs do to a backend fails no
// case by itself: only the faults that the mutants add do.
func TestHealthyAfterOthers(t *testing.T) {
	t.Parallel() // most cases spend their time waiting
	o := newTools()
	for facet, open := range map[fairlead.Facet]conformance.Opener{
		fairlead.PubSub: breaking(func() broker { return o.over(broker{}) }),
		fairlead.KV: kvProvider{wrap: func(inner driver.Store) driver.Store {
			s := o.overStore(inner)
			s.Store = inner
			return s
		}}.opens("mem://"),
	} {
		t.Run(string(facet), func(t *testing.T) {
			conformance.Test(t, open, conformance.WithOperator(o), conformance.WithFacets(facet), conformance.WithParallel(1),
				conformance.WithMatch(regexp.MustCompile("/(purged|foreign|topic-deleted|group-deleted)")))
		})
	}
}
