"""Label maps of ADE20K-847 from the full ADE20K release."""
