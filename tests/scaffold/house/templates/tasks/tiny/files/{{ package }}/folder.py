LOCAL   =  True
