from doorward.guard.introspection.introspection import Introspection as Introspection
