// Command fairlead-dapr is the provider dapr as a plugin; see fairlead.dev/plugins.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/dapr"
)

func main() { plugins.Main("dapr") }
