// Package auto lets fairlead.Open find plugins. Import it for its effect:
//
//	import _ "fairlead.dev/plugins/auto"
//
// Then a URL whose scheme begins with "plugin+", and one whose scheme no linked
// package offers, is opened in a plugin, by a host with the defaults of
// [plugins.NewHost]. A plugin ends when the last of its providers is closed,
// and with this process in any case.
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

// Host returns the host that fairlead.Open uses, to look at its Status or to
// Close it.
func Host() *plugins.Host { return host }
