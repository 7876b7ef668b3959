// Command fairlead-nats is the provider nats as a plugin; see fairlead.dev/plugins.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/nats"
)

func main() { plugins.Main("nats") }
