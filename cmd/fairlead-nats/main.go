// Command fairlead-nats is the provider of fairlead.dev/providers/nats, which
// uses NATS with JetStream, as a plugin: a process of its own, for programs
// that do not link the provider.
//
//	go install fairlead.dev/cmd/fairlead-nats@latest
//	fairlead plugin install "$(go env GOPATH)/bin/fairlead-nats"
//
// A program starts it through a plugins.Host of package fairlead.dev/plugins
// and opens plugin+nats://127.0.0.1:4222; it is not run by hand. The manifest
// that the installation writes lists its schemes and settings.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/nats"
)

func main() { plugins.Main("nats") }
