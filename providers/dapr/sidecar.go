package dapr

import (
	"fmt"
	"slices"
	"strings"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
)

// sidecarState is the result of a probe.
type sidecarState struct {
	appID       string
	version     string
	appPort     int                          // of the program itself, as the sidecar reports it; 0 for none
	components  map[fairlead.Facet]component // the components that are used
	refusesFast bool                         // a call to an app that does not exist fails within missingAppTimeout
	unsound     map[fairlead.Facet]string    // why a component is not used
}

// component is a component of the sidecar.
type component struct {
	name string
	kind string // its type, for example "state.redis"
}

// inMemory reports whether the component keeps its data in the sidecar's memory.
func (c component) inMemory() bool { return strings.HasSuffix(c.kind, ".in-memory") }

// kinds are the prefixes of the component types of each facet.
var kinds = map[fairlead.Facet]string{fairlead.KV: "state.", fairlead.PubSub: "pubsub.", fairlead.Config: "configuration."}

// settingNames are the settings that name the components.
var settingNames = map[fairlead.Facet]string{fairlead.KV: "state", fairlead.PubSub: "pubsub", fairlead.Config: "config"}

// none, as the name of a component, leaves its facet out.
const none = "-"

// newSidecarState evaluates the metadata of the sidecar.
func newSidecarState(m *runtimev1.GetMetadataResponse, wanted map[fairlead.Facet]string) (sidecarState, error) {
	st := sidecarState{
		appID: m.GetId(), version: m.GetRuntimeVersion(), appPort: int(m.GetAppConnectionProperties().GetPort()),
		components: map[fairlead.Facet]component{}, unsound: map[fairlead.Facet]string{},
	}
	for _, facet := range fairlead.Facets() {
		if kinds[facet] == "" || wanted[facet] == none {
			continue
		}
		c, ok, err := chooseComponent(m.GetRegisteredComponents(), facet, wanted[facet])
		if err != nil {
			return sidecarState{}, err
		}
		if ok {
			st.components[facet] = c
		}
	}
	return st, nil
}

// chooseComponent returns the component with a name, or the only one for an
// empty name. It returns false if there is none and none was named.
func chooseComponent(registered []*runtimev1.RegisteredComponents, facet fairlead.Facet, name string) (component, bool, error) {
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
		return component{}, false, invalid("setting %q is %q, but the sidecar has no component of the type %s*; see its --resources-path", settingNames[facet], name, kinds[facet])
	case name != "":
		return component{}, false, invalid("setting %q is %q, but the sidecar has the components %s", settingNames[facet], name, has)
	case len(fit) > 1:
		return component{}, false, invalid("the sidecar has the components %s; choose one with the setting %q, or give %s for none", has, settingNames[facet], none)
	case len(fit) == 0:
		return component{}, false, nil
	}
	return fit[0], true, nil
}

// unverified says, for each facet, which settings of a component and its backend the
// claims rely on. Dapr's API does not show them.
var unverified = map[fairlead.Facet]string{
	fairlead.KV:     "the component has no ttlInSeconds, and its backend is one server that evicts nothing",
	fairlead.PubSub: "the component has no maxLenApprox and no streamTTL, its processingTimeout is the setting processing-timeout, its redeliverInterval is not 0, and its backend evicts nothing",
}

// notes returns the notes of the description.
func (st sidecarState) notes(conf config) []string {
	notes := []string{"app id " + st.appID}
	for _, facet := range fairlead.Facets() {
		if c, ok := st.components[facet]; ok {
			notes = append(notes, fmt.Sprintf("%s: component %s, %s", facet, c.name, c.kind))
			if relied := unverified[facet]; relied != "" && !c.inMemory() {
				notes = append(notes, fmt.Sprintf("%s: relied on, not verified: %s", facet, relied))
			}
		}
		if why := st.unsound[facet]; why != "" {
			notes = append(notes, fmt.Sprintf("%s is not offered: %s", facet, why))
		}
	}
	if kv, ok := st.components[fairlead.KV]; ok && conf.assertDurable && !kv.inMemory() {
		notes = append(notes, "kv: DurableFsync is asserted by the operator (assert-durable), not verified")
	}
	return notes
}
