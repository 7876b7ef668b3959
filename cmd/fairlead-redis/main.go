// Command fairlead-redis is the provider redis as a plugin; see fairlead.dev/plugins.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/redis"
)

func main() { plugins.Main("redis") }
