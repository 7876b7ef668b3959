package redis

// storeKeys are the names of a store's keys, which are all in one hash slot.
type storeKeys struct {
	log, index, deadlines, fence string
	valuePrefix                  string // of the keys of the values
}

func (p *provider) storeKeys(store string) storeKeys {
	base := p.prefix + ":kv:{" + store + "}:"
	return storeKeys{log: base + "log", index: base + "index", deadlines: base + "deadlines",
		fence: base + "fence", valuePrefix: base + "k:"}
}

func (k *storeKeys) valueKey(key string) string { return k.valuePrefix + key }

// logKeys are the keys that most scripts take first.
func (k *storeKeys) logKeys() []string { return []string{k.log, k.index, k.deadlines} }
