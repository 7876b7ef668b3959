// Package suite holds the parts that the cases of every facet use: the type of a
// case, the T that a case works with, and the checks that several facets share.
package suite

import (
	"strings"
	"time"

	"fairlead.dev"
)

// Opening is the name under which the suite groups the cases of opening,
// describing and closing a provider, and of its errors. No description has a
// facet of this name.
const Opening fairlead.Facet = "open"

// Case is one rule and how it is tested.
type Case struct {
	Name string // "kv/put-get": the facet and what is tested
	// Needs are the claims that must hold. A case that proves claims needs
	// them all.
	Needs []fairlead.Claim
	// Lacks is a claim that must not hold: the case tests its absence.
	Lacks fairlead.Claim
	// Control: the case kills, stops or starts the backend.
	Control bool
	// Fill: the case fills the backend.
	Fill bool
	// Operate: the case changes the backend with its own tools.
	Operate bool
	// Full: the case runs in the profile full only.
	Full bool
	Rule string // what must be so, in one line
	// Timeout bounds the case; 0 means DefaultTimeout.
	Timeout time.Duration
	Run     func(t *T)
}

// DefaultTimeout bounds a case that names no other bound.
const DefaultTimeout = time.Minute

// Deadline returns how long the case may take.
func (c Case) Deadline() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

// Alone reports whether no other case may run at the same time.
func (c Case) Alone() bool { return c.Control || c.Fill }

// Facet returns the facet that must be offered, except for Opening.
func (c Case) Facet() fairlead.Facet {
	facet, _, _ := strings.Cut(c.Name, "/")
	return fairlead.Facet(facet)
}
