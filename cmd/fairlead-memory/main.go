// Command fairlead-memory is the provider of fairlead.dev/providers/memory,
// which keeps its data in its own memory, as a plugin: a process of its own,
// for programs that do not link the provider.
//
//	go install fairlead.dev/cmd/fairlead-memory@latest
//	fairlead plugin install "$(go env GOPATH)/bin/fairlead-memory"
//
// A program starts it through a plugins.Host of package fairlead.dev/plugins
// and opens plugin+mem://NAME; it is not run by hand. The manifest that the
// installation writes lists its schemes and parameters.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/memory"
)

func main() { plugins.Main("memory") }
