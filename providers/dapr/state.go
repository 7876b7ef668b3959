package dapr

import (
	"fmt"
	"slices"
	"strings"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
)

// state is what a probe has found.
type state struct {
	appID       string
	version     string
	appPort     int                          // of the program itself, as the sidecar has it; 0: none
	components  map[fairlead.Facet]component // those in use
	refusesFast bool                         // a call of an app that does not exist fails soon
	unsound     map[fairlead.Facet]string    // why a component is not in use
}

// component is a component of the sidecar.
type component struct {
	name string
	kind string // as "state.redis"
}

// kinds are what the kinds of components start with, by facet.
var kinds = map[fairlead.Facet]string{fairlead.KV: "state.", fairlead.PubSub: "pubsub.", fairlead.Config: "configuration."}

// parameters name the components in the URL.
var parameters = map[fairlead.Facet]string{fairlead.KV: "state", fairlead.PubSub: "pubsub", fairlead.Config: "config"}

// none, as the name of a component, leaves a facet out.
const none = "-"

// newState reads what the sidecar says of itself.
func newState(m *runtimev1.GetMetadataResponse, wanted map[fairlead.Facet]string) (state, error) {
	st := state{
		appID: m.GetId(), version: m.GetRuntimeVersion(), appPort: int(m.GetAppConnectionProperties().GetPort()),
		components: map[fairlead.Facet]component{}, unsound: map[fairlead.Facet]string{},
	}
	for _, facet := range fairlead.Facets() {
		if kinds[facet] == "" || wanted[facet] == none {
			continue
		}
		c, ok, err := choose(m.GetRegisteredComponents(), facet, wanted[facet])
		if err != nil {
			return state{}, err
		}
		if ok {
			st.components[facet] = c
		}
	}
	return st, nil
}

// choose returns the component of that name, or the only one; and false if
// there is none and none is wanted.
func choose(registered []*runtimev1.RegisteredComponents, facet fairlead.Facet, name string) (component, bool, error) {
	var fit []component
	var names []string
	for _, r := range registered {
		if strings.HasPrefix(r.GetType(), kinds[facet]) {
			fit = append(fit, component{r.GetName(), r.GetType()})
			names = append(names, r.GetName())
		}
	}
	slices.Sort(names)
	has := strings.Join(names, ", ")
	if i := slices.IndexFunc(fit, func(c component) bool { return c.name == name }); i >= 0 {
		return fit[i], true, nil
	}
	switch {
	case name != "" && len(fit) == 0:
		return component{}, false, invalid("parameter %q is %q, and the sidecar has no component %s*; see its --resources-path", parameters[facet], name, kinds[facet])
	case name != "":
		return component{}, false, invalid("parameter %q is %q, and the sidecar has the components %s", parameters[facet], name, has)
	case len(fit) > 1:
		return component{}, false, invalid("the sidecar has the components %s; say which with the parameter %q, or %s for none", has, parameters[facet], none)
	case len(fit) == 0:
		return component{}, false, nil
	}
	return fit[0], true, nil
}

// notes are facts for the operator.
func (st state) notes() []string {
	notes := []string{"app id " + st.appID}
	for _, facet := range fairlead.Facets() {
		if c, ok := st.components[facet]; ok {
			notes = append(notes, fmt.Sprintf("%s: component %s, %s", facet, c.name, c.kind))
		}
		if why := st.unsound[facet]; why != "" {
			notes = append(notes, fmt.Sprintf("%s is not offered: %s", facet, why))
		}
	}
	return notes
}
