"""Privacy policy as code: what may not enter the project, each rule with a sentence that says where and what to do."""
