package gocloud

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"fairlead.dev"

	"fairlead.dev/providers"
)

const prefix = "gocloud+"

// drivers holds the schemes of the registered drivers.
var drivers = struct {
	sync.Mutex
	known map[string]bool
}{known: map[string]bool{}}

// Register adds URLs of the scheme gocloud+d.Scheme to fairlead.Open. It panics
// if d has no scheme or no Open, or if the scheme is taken.
func Register(d Driver) {
	if d.Scheme == "" || d.Open == nil {
		panic("gocloud: Register needs a driver with a Scheme and an Open")
	}
	drivers.Lock()
	drivers.known[d.Scheme] = true
	drivers.Unlock()
	providers.Register(d.scheme())
}

func (d Driver) scheme() providers.Scheme {
	return providers.Scheme{
		Name: prefix + d.Scheme, Help: d.Help, Settings: d.Settings,
		Open: func(ctx context.Context, s providers.Settings) (fairlead.Provider, error) { return open(ctx, d, s) },
	}
}

func init() {
	Register(memDriver())
	Register(fileDriver())
	Register(constantDriver())
	providers.RegisterResolver(resolve)
}

// resolve finds drivers that are registered with gocloud.dev but not here.
func resolve(_ context.Context, name string) (providers.Scheme, bool, error) {
	scheme, ours := strings.CutPrefix(name, prefix)
	if !ours {
		return providers.Scheme{}, false, nil
	}
	if refusal, no := refused[scheme]; no {
		return providers.Scheme{}, true, fairlead.Errorf(fairlead.Unsupported, "the driver %q of gocloud.dev cannot be bridged: %s", scheme, refusal)
	}
	d, linked := linkedDriver(scheme)
	if !linked {
		// A plugin may offer it: other resolvers are asked.
		return providers.Scheme{}, false, nil
	}
	return d.scheme(), true, nil
}

// RegisterLinked registers the schemes of all drivers that linked packages
// registered with gocloud.dev and that have no [Driver], so that they are
// listed. A plugin calls it once, before plugins.Main: its host knows only
// listed schemes.
func RegisterLinked() {
	for _, scheme := range linkedSchemes() {
		drivers.Lock()
		known := drivers.known[scheme]
		drivers.Unlock()
		if _, no := refused[scheme]; !known && !no {
			d, _ := linkedDriver(scheme)
			Register(d)
		}
	}
}

// refused are the drivers whose guarantees are too weak for the bridge.
var refused = map[string]string{
	"nats": "core NATS delivers at most once; use nats:// for JetStream",
}

// recoverPanic runs f and returns a panic of the library as an error.
func recoverPanic(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fairlead.Errorf(fairlead.Internal, "gocloud.dev panicked: %s", fmt.Sprint(v))
		}
	}()
	return f()
}
