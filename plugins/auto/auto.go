// Package auto lets fairlead.Open find plugins. Import it for its effect:
//
//	import _ "fairlead.dev/plugins/auto"
//
// fairlead.Open then opens a URL in a plugin if its scheme begins with "plugin+",
// or if no linked package offers its scheme. It uses a host with the defaults of
// [plugins.NewHost]. A plugin ends when the last of its providers is closed, and
// in any case with this process.
package auto

import (
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
)

var host = func() *plugins.Host {
	h, err := plugins.NewHost()
	if err != nil {
		panic(err) // the defaults are valid
	}
	return h
}()

func init() { providers.RegisterResolver(host.Resolver()) }

// Host returns the host that fairlead.Open uses: for its Status, or to Close it.
func Host() *plugins.Host { return host }
