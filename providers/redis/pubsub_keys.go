package redis

// topicKeys are the names of a topic's keys. All keys of a topic, including
// the keys of its groups, are in one hash slot.
type topicKeys struct{ base, stream, meta, ids, older string }

func (p *provider) topicKeys(topic string) topicKeys {
	base := p.prefix + ":ps:{" + topic + "}:"
	return topicKeys{base: base, stream: base + "stream", meta: base + "meta", ids: base + "ids", older: base + "ids:older"}
}

func (k topicKeys) all() []string { return []string{k.stream, k.meta, k.ids, k.older} }

// groupKeys are the names of a group's keys. The keys of the lanes of ordering
// keys start with base, too; the scripts form them.
type groupKeys struct{ base, due, parked, wake string }

func (k topicKeys) group(name string) groupKeys {
	base := k.base + "group:" + name + ":"
	return groupKeys{base: base, due: base + "due", parked: base + "parked", wake: base + "wake"}
}

// topicNamesKey is the key of the set of topic names. The set is not in the
// topics' hash slots. So it may contain topics that do not exist, but never
// lacks one: a name is added after the topic was created, and removed before
// the topic is.
func (p *provider) topicNamesKey() string { return p.prefix + ":ps:topics" }
